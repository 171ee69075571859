"""Uses the library that the daemon process group is named after, for `WSGIImportScript`."""

import mod_wsgi
import uses

uses.IMPORTED[mod_wsgi.process_group] = uses.run(mod_wsgi.process_group)
