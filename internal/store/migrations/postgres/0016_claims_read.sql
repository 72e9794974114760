-- What was read of the claims at the last sign-in by an identity provider, so that an administrator can see it.
alter table external_identities add column seen_at bigint not null default 0;
alter table external_identities add column claims text collate "C" not null default '[]';
