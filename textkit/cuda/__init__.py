"""What only a GPU needs: graphs rewritten for what CUDA computes, and steps whose arrays stay there."""
