"""A news feed for the tests of catalysts."""

NOW = 1_767_225_600_000
SYMBOLS = ("VIRTUAL", "FET", "TAO", "GRASS", "RENDER")

RSS = b"""<?xml version="1.0"?>
<rss version="2.0"><channel><title>Wire</title>
<item><title>Bittensor subnet upgrade goes live</title><link>https://example.org/1</link><guid>g-1</guid>
  <pubDate>Wed, 31 Dec 2025 23:30:00 GMT</pubDate>
  <description>&lt;b&gt;TAO&lt;/b&gt; and $fet holders vote.</description></item>
<item><title>Gardeners render grass greener</title><guid>g-2</guid></item>
<item><title>VIRTUAL listed</title><link>javascript:alert(1)</link></item>
</channel></rss>"""
