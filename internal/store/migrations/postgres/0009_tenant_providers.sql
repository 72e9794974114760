-- Whom an identity provider's subject is in a tenant: one issuer may serve several.
alter table external_identities add column tenant text collate "C";

update external_identities e set tenant = p.tenant from principals p where p.id = e.principal;

alter table external_identities alter column tenant set not null;
alter table external_identities drop constraint external_identities_pk;
alter table external_identities add constraint external_identities_pk primary key (tenant, issuer, subject);
alter table external_identities add constraint external_identities_tenant foreign key (tenant) references tenants (id);
