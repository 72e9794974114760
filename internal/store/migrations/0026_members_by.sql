-- Who put a member into a group, and when; empty where a provider did, or nobody knows.
alter table memberships add column added_by text not null default '';
alter table memberships add column added_at bigint not null default 0;
create index memberships_by_adder on memberships (added_by, added_at, group_id, member_id) where added_by <> '';
