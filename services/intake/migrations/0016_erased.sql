-- Who was erased is remembered beside the keys: a vault that is restored from a backup must not forget it.
ALTER TABLE erased_person DROP CONSTRAINT erased_person_household_id_fkey;
ALTER TABLE erased_person SET SCHEMA keystore;
