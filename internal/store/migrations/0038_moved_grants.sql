-- A grant that was moved to another address is carried on by another one, which counts from where it counted.
alter table grants add column moved {text} not null default '';
alter table grants add column since_at bigint not null default 0;
