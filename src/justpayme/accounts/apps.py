from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "justpayme.accounts"
    label = "accounts"
