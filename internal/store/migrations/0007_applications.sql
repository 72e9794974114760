-- What publishers offer. Each change makes a revision; the earlier ones are kept as long as the definition.
create table application_definitions (
    resource_key {text} not null,
    resource     {text} not null,
    tenant       {text} not null,
    body         {text} not null,
    revision     bigint not null,
    constraint application_definitions_pk primary key (resource_key),
    constraint application_definitions_tenant foreign key (tenant) references tenants (id)
){rowless};

create index application_definitions_by_tenant on application_definitions (tenant, resource_key);

create table application_definition_revisions (
    resource_key {text} not null,
    revision     bigint not null,
    body         {text} not null,
    constraint application_definition_revisions_pk primary key (resource_key, revision),
    constraint application_definition_revisions_of foreign key (resource_key) references application_definitions (resource_key)
){rowless};

-- What customers deployed. The body holds the terms that count, so that an application outlives its definition. A managed
-- resource group has one application.
create table applications (
    resource_key   {text} not null,
    resource       {text} not null,
    tenant         {text} not null,
    publisher      {text} not null,
    definition_key {text} not null,
    managed_key    {text} not null,
    body           {text} not null,
    revision       bigint not null,
    constraint applications_pk primary key (resource_key),
    constraint applications_managed unique (managed_key),
    constraint applications_tenant foreign key (tenant) references tenants (id),
    constraint applications_publisher foreign key (publisher) references tenants (id)
){rowless};

create index applications_by_tenant on applications (tenant, resource_key);
create index applications_by_publisher on applications (publisher, resource_key);
create index applications_by_definition on applications (definition_key, resource_key);

-- What a scope's principals may not do, whatever their roles. body is JSON: permissions, principals, exclusions.
create table deny_assignments (
    id         {text} not null,
    tenant     {text} not null,
    scope      {text} not null,
    body       {text} not null,
    origin_key {text} not null,
    created_at bigint not null,
    constraint deny_assignments_pk primary key (id),
    constraint deny_assignments_tenant foreign key (tenant) references tenants (id)
){rowless};

create index deny_assignments_by_origin on deny_assignments (origin_key, id);

-- The managed application that a role assignment was made for; empty where it was given directly.
alter table role_assignments add column origin {text} not null default '';
