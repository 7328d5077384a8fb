"""From the grey values of a scan to what the network sees."""
