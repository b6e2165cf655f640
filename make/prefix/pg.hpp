// As common.hpp, for the sources of src/pg: the server's headers.
#include <map>
#include <set>

#include "pganalytics/pg/postgres.hpp"
