"""Who answers, and what was answered."""
