-- only sqlite:
-- Text is compared byte by byte here; of PostgreSQL this makes three more columns so.
update directory set revision = revision where id = 1;
-- only postgres:
-- Text is compared byte by byte, as SQLite does it; three columns were not.
alter table networks alter column loosened type text collate "C";
alter table role_assignments alter column through type text collate "C";
alter table memberships alter column added_by type text collate "C";
-- end
