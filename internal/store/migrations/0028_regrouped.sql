-- Which groups somebody left, or came into, by another act of theirs than joining: the newest of each.
create table regroupings (
    principal  {text} not null,
    group_id   {text} not null,
    group_name {text} not null,
    departed   {integer} not null,
    at         {integer} not null,
    constraint regroupings_pk primary key (principal, group_id)
){rowless};
