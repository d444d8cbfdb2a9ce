"""The web application, for granian: `granian --interface wsgi justpayme.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from justpayme.runtime.web import tie_to_parent

tie_to_parent()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "justpayme.settings")

application = get_wsgi_application()
