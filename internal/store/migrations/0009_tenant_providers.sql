-- Whom an identity provider's subject is in a tenant: one issuer may serve several.
-- only sqlite:
create table tenant_external_identities (
    tenant     text not null,
    issuer     text not null,
    subject    text not null,
    principal  text not null,
    created_at bigint not null,
    constraint external_identities_pk primary key (tenant, issuer, subject),
    constraint external_identities_tenant foreign key (tenant) references tenants (id),
    constraint external_identities_principal foreign key (principal) references principals (id)
) without rowid;

insert into tenant_external_identities (tenant, issuer, subject, principal, created_at)
    select p.tenant, e.issuer, e.subject, e.principal, e.created_at from external_identities e join principals p on p.id = e.principal;

drop table external_identities;
alter table tenant_external_identities rename to external_identities;

create index external_identities_by_principal on external_identities (principal);
-- only postgres:
alter table external_identities add column tenant text collate "C";

update external_identities e set tenant = p.tenant from principals p where p.id = e.principal;

alter table external_identities alter column tenant set not null;
alter table external_identities drop constraint external_identities_pk;
alter table external_identities add constraint external_identities_pk primary key (tenant, issuer, subject);
alter table external_identities add constraint external_identities_tenant foreign key (tenant) references tenants (id);
-- end
