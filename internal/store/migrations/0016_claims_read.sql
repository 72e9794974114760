-- What was read of the claims at the last sign-in by an identity provider, so that an administrator can see it.
alter table external_identities add column seen_at {integer} not null default 0;
alter table external_identities add column claims {text} not null default '[]';
