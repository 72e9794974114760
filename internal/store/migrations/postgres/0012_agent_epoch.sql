-- Revisions grow within an epoch; a restore from a backup begins another one.
alter table agents add column epoch text collate "C" not null default '';
