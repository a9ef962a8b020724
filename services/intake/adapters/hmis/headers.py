"""The columns of FY2026 as HUD publishes them, for the files that the import takes something from."""

from types import MappingProxyType


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COLUMNS = MappingProxyType(
    {
        "Export.csv": _columns("""
        ExportID SourceType SourceID SourceName SourceContactFirst SourceContactLast
        SourceContactPhone SourceContactExtension SourceContactEmail ExportDate ExportStartDate
        ExportEndDate SoftwareName SoftwareVersion CSVVersion ExportPeriodType ExportDirective
        HashStatus ImplementationID
    """),
        "Organization.csv": _columns("""
        OrganizationID OrganizationName VictimServiceProvider OrganizationCommonName DateCreated
        DateUpdated UserID DateDeleted ExportID
    """),
        "Project.csv": _columns("""
        ProjectID OrganizationID ProjectName ProjectCommonName OperatingStartDate OperatingEndDate
        ContinuumProject ProjectType HousingType RRHSubType ResidentialAffiliation TargetPopulation
        HOPWAMedAssistedLivingFac PITCount DateCreated DateUpdated UserID DateDeleted ExportID
    """),
        "Inventory.csv": _columns("""
        InventoryID ProjectID CoCCode HouseholdType Availability UnitInventory BedInventory
        CHVetBedInventory YouthVetBedInventory VetBedInventory CHYouthBedInventory YouthBedInventory
        CHBedInventory OtherBedInventory ESBedType InventoryStartDate InventoryEndDate DateCreated
        DateUpdated UserID DateDeleted ExportID
    """),
        "Client.csv": _columns("""
        PersonalID FirstName MiddleName LastName NameSuffix NameDataQuality SSN SSNDataQuality DOB
        DOBDataQuality Sex AmIndAKNative Asian BlackAfAmerican HispanicLatinao MidEastNAfrican
        NativeHIPacific White RaceNone AdditionalRaceEthnicity VeteranStatus YearEnteredService
        YearSeparated WorldWarII KoreanWar VietnamWar DesertStorm AfghanistanOEF IraqOIF IraqOND
        OtherTheater MilitaryBranch DischargeStatus DateCreated DateUpdated UserID DateDeleted
        ExportID
    """),
        "Enrollment.csv": _columns("""
        EnrollmentID PersonalID ProjectID EntryDate HouseholdID RelationshipToHoH EnrollmentCoC
        LivingSituation RentalSubsidyType LengthOfStay LOSUnderThreshold PreviousStreetESSH
        DateToStreetESSH TimesHomelessPastThreeYears MonthsHomelessPastThreeYears DisablingCondition
        DateOfEngagement MoveInDate DateOfPATHStatus ClientEnrolledInPATH ReasonNotEnrolled
        PercentAMI ReferralSource CountOutreachReferralApproaches DateOfBCPStatus EligibleForRHY
        ReasonNoServices RunawayYouth FormerWardChildWelfare ChildWelfareYears ChildWelfareMonths
        FormerWardJuvenileJustice JuvenileJusticeYears JuvenileJusticeMonths UnemploymentFam
        MentalHealthDisorderFam PhysicalDisabilityFam AlcoholDrugUseDisorderFam InsufficientIncome
        IncarceratedParent VAMCStation TargetScreenReqd TimeToHousingLoss AnnualPercentAMI
        LiteralHomelessHistory ClientLeaseholder HOHLeaseholder SubsidyAtRisk EvictionHistory
        CriminalRecord IncarceratedAdult PrisonDischarge SexOffender DisabledHoH CurrentPregnant
        SingleParent DependentUnder6 HH5Plus CoCPrioritized HPScreeningScore ThresholdScore
        MentalHealthConsultation DateCreated DateUpdated UserID DateDeleted ExportID
    """),
        "Exit.csv": _columns("""
        ExitID EnrollmentID PersonalID ExitDate Destination DestinationSubsidyType OtherDestination
        HousingAssessment SubsidyInformation ProjectCompletionStatus EarlyExitReason ExchangeForSex
        ExchangeForSexPastThreeMonths CountOfExchangeForSex AskedOrForcedToExchangeForSex
        AskedOrForcedToExchangeForSexPastThreeMonths WorkPlaceViolenceThreats
        WorkplacePromiseDifference CoercedToContinueWork LaborExploitPastThreeMonths
        CounselingReceived IndividualCounseling FamilyCounseling GroupCounseling SessionCountAtExit
        PostExitCounselingPlan SessionsInPlan DestinationSafeClient DestinationSafeWorker
        PosAdultConnections PosPeerConnections PosCommunityConnections AftercareDate
        AftercareProvided EmailSocialMedia Telephone InPersonIndividual InPersonGroup CMExitReason
        DateCreated DateUpdated UserID DateDeleted ExportID
    """),
        "HealthAndDV.csv": _columns("""
        HealthAndDVID EnrollmentID PersonalID InformationDate DomesticViolenceSurvivor WhenOccurred
        CurrentlyFleeing GeneralHealthStatus DentalHealthStatus MentalHealthStatus PregnancyStatus
        DueDate DataCollectionStage DateCreated DateUpdated UserID DateDeleted ExportID
    """),
        "CurrentLivingSituation.csv": _columns("""
        CurrentLivingSitID EnrollmentID PersonalID InformationDate CurrentLivingSituation
        CLSSubsidyType VerifiedBy LeaveSituation14Days SubsequentResidence ResourcesToObtain
        LeaseOwn60Day MovedTwoOrMore LocationDetails DateCreated DateUpdated UserID DateDeleted
        ExportID
    """),
    }
)
"""In their published order. Columns are found by name: another order is no fault, a missing one is."""
