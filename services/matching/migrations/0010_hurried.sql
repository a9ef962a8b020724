-- A stay that ends within days made its search urgent: a plan it is not any more, whatever is changed of it later.
ALTER TABLE need ADD COLUMN hurried boolean NOT NULL DEFAULT false;
