SELECT arrayJoin(['inferred', 'observed']) AS basis
