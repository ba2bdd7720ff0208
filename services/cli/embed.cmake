# Writes OUT, a C file with the SQL files of FOLDER (NNNN_name.sql) as a table, and takeover.sql.
file(GLOB files ${FOLDER}/[0-9]*.sql)
list(SORT files)
set(arrays "")
set(rows "")
foreach(file IN LISTS files)
    get_filename_component(name ${file} NAME_WE)
    string(REGEX MATCH "^[0-9]+" number ${name})
    string(REGEX REPLACE "^0+" "" number ${number})
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND arrays "static const char sql_${number}[] = {${bytes}0};\n")
    string(APPEND rows "    {${number}, \"${name}\", sql_${number}},\n")
endforeach()
file(READ ${FOLDER}/takeover.sql hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include \"services/cli/migrate.h\"\n\n#include <stddef.h>\n\n${arrays}
const char migration_tools[] = {${bytes}0};
const struct migration migrations[] = {\n${rows}};
const size_t migration_count = sizeof migrations / sizeof *migrations;\n")
