"""Camera images of bags: MCAP files and ROS 2 bags, without ROS."""
