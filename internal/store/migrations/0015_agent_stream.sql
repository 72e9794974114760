-- Who follows the desired state of an agent: one connection at a time.
alter table agents add column stream {text} not null default '{}';
