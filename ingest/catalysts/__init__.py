"""News feeds watched for the symbols' names."""
