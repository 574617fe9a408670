drop statistics events_durations;
