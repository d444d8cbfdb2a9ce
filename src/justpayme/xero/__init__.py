"""Everything that speaks Xero's language. Knows core; knows neither Django nor our tables."""
