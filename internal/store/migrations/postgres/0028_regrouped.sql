-- Which groups somebody left, or came into, by another act of theirs than joining: the newest of each.
create table regroupings (
    principal  text collate "C" not null,
    group_id   text collate "C" not null,
    group_name text collate "C" not null,
    departed   bigint not null,
    at         bigint not null,
    constraint regroupings_pk primary key (principal, group_id)
);
