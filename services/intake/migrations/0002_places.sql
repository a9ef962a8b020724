-- Where a referral leads is matching's to say, whenever a case is shown; it is kept nowhere else.
ALTER TABLE referral DROP COLUMN place, DROP COLUMN contact;
