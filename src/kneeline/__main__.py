from kneeline.cli import main

raise SystemExit(main())
