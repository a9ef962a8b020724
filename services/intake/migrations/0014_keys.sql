-- When the agency's key began to be renewed; null when it is one key. While it is renewed it is two, and what was
-- wrapped with the older one is wrapped anew, a page at a time.
ALTER TABLE keystore.agency_key ADD COLUMN renewing_since timestamptz;
