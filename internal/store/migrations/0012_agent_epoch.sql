-- Revisions grow within an epoch; a restore from a backup begins another one.
alter table agents add column epoch {text} not null default '';
