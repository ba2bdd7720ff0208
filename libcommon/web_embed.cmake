# Writes OUT/web_assets.c: the table of PAIRS (URL path=file), their bytes taken in by the assembler.
set(types
    "html=text/html" "css=text/css" "js=text/javascript" "mjs=text/javascript"
    "json=application/json" "svg=image/svg+xml" "png=image/png" "ico=image/x-icon"
    "woff2=font/woff2" "txt=text/plain" "webmanifest=application/manifest+json")

function(type_of file ret_type)
    string(REGEX REPLACE "^.*\\." "" ending ${file})
    foreach(item IN LISTS types)
        string(REGEX MATCH "^(.*)=(.*)$" item ${item})
        if(ending STREQUAL CMAKE_MATCH_1)
            set(type ${CMAKE_MATCH_2})
            if(type MATCHES "^text/|svg")
                string(APPEND type "; charset=utf-8")
            endif()
            set(${ret_type} ${type} PARENT_SCOPE)
            return()
        endif()
    endforeach()
    message(FATAL_ERROR "web_embed.cmake knows no media type for ${file}")
endfunction()

set(blobs "")
set(declarations "")
set(rows "")
set(number 0)
foreach(pair IN LISTS PAIRS)
    string(REGEX MATCH "^([^=]*)=(.*)$" pair ${pair})
    set(path "${CMAKE_MATCH_1}")
    set(file ${CMAKE_MATCH_2})
    if(path STREQUAL "")
        set(path "/")
    endif()
    type_of(${file} type)
    file(SHA256 ${file} digest)
    string(SUBSTRING ${digest} 0 20 etag)
    set(packed ${OUT}/${number}.gz)
    file(WRITE ${packed} "")
    if(NOT type MATCHES "^(image/png|font/|image/x-icon)")
        execute_process(COMMAND gzip -9 -n -c ${file} OUTPUT_FILE ${packed} COMMAND_ERROR_IS_FATAL ANY)
    endif()
    string(APPEND blobs "BLOB(asset_${number}, \"${file}\")\nBLOB(packed_${number}, \"${packed}\")\n")
    string(APPEND declarations "PART(asset_${number})\nPART(packed_${number})\n")
    string(APPEND rows "    {\"${path}\", \"${type}\", \"\\\"${etag}\\\"\", asset_${number}, asset_${number}_end,\n"
        "     packed_${number}, packed_${number}_end},\n")
    math(EXPR number "${number} + 1")
endforeach()

file(WRITE ${OUT}/web_assets.c "#include \"libcommon/http_assets.h\"

#define BLOB(name, path)                                                              \\
    __asm__(\".section .rodata\\n.balign 16\\n\" #name \":\\n.incbin \\\"\" path \"\\\"\\n\" #name \\
            \"_end:\\n.byte 0\\n.previous\\n\");
#define PART(name) extern const char name[], name##_end[];

${blobs}
${declarations}
static const struct http_asset items[] = {
${rows}};
const struct http_assets web_assets = {items, sizeof items / sizeof *items};
")
