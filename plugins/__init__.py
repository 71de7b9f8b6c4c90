"""The plugins that come with textkit; installed as the package textkit_plugins. Each folder stands alone."""
