"""From records to rows, words, pictures and pages: the auditor's reports belong here."""
