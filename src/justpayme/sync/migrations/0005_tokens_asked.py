from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sync", "0004_telling"),
    ]

    operations = [
        migrations.AddField(
            model_name="tokenset",
            name="asked_at",
            field=models.DateTimeField(null=True),
        ),
    ]
