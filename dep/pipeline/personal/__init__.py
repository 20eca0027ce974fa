"""The parts of `dep.Personalizer`: what is asked of it, and how an adapter's folder is found and described."""
