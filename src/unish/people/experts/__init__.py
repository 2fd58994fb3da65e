"""Stronger models for those who can have them, behind the Protocols of the people stage (extra ``experts``)."""

from unish.people.experts.find import PeopleExperts, find_people_experts

__all__ = ["PeopleExperts", "find_people_experts"]
