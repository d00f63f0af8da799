"""To and from other packages, one module each; a module needs the package it is named for."""
