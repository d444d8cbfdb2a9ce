from django.apps import AppConfig


class BillsConfig(AppConfig):
    name = "justpayme.bills"
    label = "bills"
