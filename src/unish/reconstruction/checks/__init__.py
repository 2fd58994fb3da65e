"""What a result says about itself: measures of people and shots that need no ground truth."""
