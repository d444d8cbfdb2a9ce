"""The addresses of accounts: sign-in, members, businesses, tokens."""

from django.urls import path

from justpayme.accounts import views

app_name = "accounts"
urlpatterns = [
    path("settings/", views.settings, name="settings"),
    path("settings/account/", views.account, name="account"),
    path("settings/business/", views.business, name="business"),
    path("settings/business/new/", views.business_new, name="business_new"),
    path("settings/business/<int:pk>/switch/", views.business_switch, name="business_switch"),
    path("settings/members/", views.members, name="members"),
    path("settings/members/invite/", views.invite, name="invite"),
    path(
        "settings/members/invitations/<int:pk>/withdraw/",
        views.invitation_withdraw,
        name="invitation_withdraw",
    ),
    path("settings/members/<int:pk>/", views.member, name="member"),
    path("settings/members/<int:pk>/remove/", views.member_remove, name="member_remove"),
    path("settings/tokens/", views.tokens, name="tokens"),
    path("settings/tokens/new/", views.token_new, name="token_new"),
    path("settings/tokens/<int:pk>/revoke/", views.token_revoke, name="token_revoke"),
    path("account/invitation/<str:key>/", views.invitation, name="invitation"),
]
