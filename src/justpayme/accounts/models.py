"""People, the businesses they belong to, and what they may do there."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower


class UserManager(BaseUserManager["User"]):
    """Creates people by their e-mail address, which is kept in lower case."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> User:
        """Add a person; `password=None` makes an account that cannot sign in by password."""
        user = self.model(email=email.strip().lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        """The person with this e-mail address, whatever its case."""
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser):
    """A person who can sign in. What she may do depends on her membership of a business."""

    class Theme(models.TextChoices):
        SYSTEM = "system", "System"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=150, blank=True)
    theme = models.CharField(max_length=6, choices=Theme.choices, default=Theme.SYSTEM)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(email=Lower("email")), name="email_lower_case"),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def shown_name(self) -> str:
        """Her name, or the address while she has given none."""
        return self.name or self.email

    @property
    def initials(self) -> str:
        """Up to two letters for the round mark in the top bar."""
        words = self.name.split() or [self.email]
        return "".join(word[0] for word in (words[0], *words[1:][-1:])).upper()


class Business(models.Model):
    """A sole trader or small business; every other row belongs to one."""

    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=3, default="GBP")
    time_zone = models.CharField(max_length=64, default="Europe/London")
    members = models.ManyToManyField(User, through="Membership", related_name="businesses")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "businesses"

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """What one person may do in one business."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        MEMBER = "member", "Member"
        VIEWER = "viewer", "Viewer"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=6, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "business"], name="member_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role}"

    @property
    def may_change(self) -> bool:
        """Owners and members change bills; viewers only look."""
        return self.role in (self.Role.OWNER, self.Role.MEMBER)

    @property
    def may_manage(self) -> bool:
        """Owners connect, disconnect, and manage members and tokens."""
        return self.role == self.Role.OWNER


class Invitation(models.Model):
    """An open invitation to a business. The link in the e-mail carries its signed id.

    Nobody learns from it whether the address already has an account: the person who opens
    the link decides, and the row goes when she accepts or an owner withdraws it.
    """

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254)
    role = models.CharField(
        max_length=6, choices=Membership.Role.choices, default=Membership.Role.MEMBER
    )
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    sent_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["business", "email"], name="invited_once"),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="invited_lower_case"),
        ]

    def __str__(self) -> str:
        return f"{self.email} as {self.role}"


class ApiToken(models.Model):
    """A bearer token of one person for one business. Only its SHA-256 digest is stored."""

    business = models.ForeignKey(Business, on_delete=models.CASCADE, related_name="api_tokens")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    start = models.CharField(max_length=12)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.start}…)"


class SecurityEvent(models.Model):
    """Who did what, when and from where. Append-only: the database refuses to change a row."""

    at = models.DateTimeField(auto_now_add=True)
    business = models.ForeignKey(
        Business, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="+"
    )
    user = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="+"
    )
    action = models.CharField(max_length=40)
    result = models.CharField(max_length=20, default="ok")
    address = models.CharField(max_length=45, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["business", "-at"])]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.action} {self.result}"
