"""What training and inference draw from datasets: groups of frames, tiles, batches read ahead."""
