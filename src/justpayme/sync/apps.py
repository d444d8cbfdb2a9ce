from django.apps import AppConfig


class SyncConfig(AppConfig):
    name = "justpayme.sync"
    label = "sync"
