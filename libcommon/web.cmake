# mcpbus_web(TARGET svc_X FOLDERS PREFIX=FOLDER… [FILES PATH=FILE…] [NPM FOLDER] [PACKAGES PATH=FILE…]):
# builds files of web pages into a program, as its `web_assets` (libcommon/http_assets.h). FOLDERS:
# each file below FOLDER under PREFIX/; its index.html under PREFIX itself. NPM: a folder with
# package.json, package-lock.json and .npmrc; PACKAGES: files of its node_modules.
set(MCPBUS_WEB_EMBED ${CMAKE_CURRENT_LIST_DIR}/web_embed.cmake)

function(mcpbus_web)
    cmake_parse_arguments(W "" "TARGET;NPM" "FOLDERS;FILES;PACKAGES" ${ARGN})
    set(pairs ${W_FILES})
    foreach(item IN LISTS W_FOLDERS)
        string(REGEX REPLACE "/?=.*$" "" prefix ${item})
        string(REGEX REPLACE "^[^=]*=" "" folder ${item})
        file(GLOB_RECURSE found CONFIGURE_DEPENDS RELATIVE ${folder} ${folder}/*)
        foreach(name IN LISTS found)
            string(REGEX REPLACE "(^|/)index\\.html$" "" path "${name}")
            string(REGEX REPLACE "/$" "" path "${prefix}/${path}")
            list(APPEND pairs "${path}=${folder}/${name}")
        endforeach()
    endforeach()
    set(out ${CMAKE_CURRENT_BINARY_DIR}/web)
    if(W_NPM)
        mcpbus_npm(${W_TARGET} ${W_NPM} ${out} "${W_PACKAGES}")
        foreach(item IN LISTS W_PACKAGES)
            string(REPLACE "=" "=${out}/node_modules/" item ${item})
            list(APPEND pairs ${item})
        endforeach()
    endif()
    set(files "")
    foreach(pair IN LISTS pairs)
        string(REGEX REPLACE "^[^=]*=" "" file ${pair})
        list(APPEND files ${file})
    endforeach()
    add_custom_command(
        OUTPUT ${out}/web_assets.c
        COMMAND ${CMAKE_COMMAND} "-DPAIRS=${pairs}" -DOUT=${out} -P ${MCPBUS_WEB_EMBED}
        DEPENDS ${files} ${MCPBUS_WEB_EMBED}
        COMMENT "Embedding web pages of ${W_TARGET}"
        VERBATIM)
    target_sources(${W_TARGET}_objects PRIVATE ${out}/web_assets.c)
    target_link_libraries(${W_TARGET}_objects PUBLIC http_assets)
endfunction()

# The packages that FOLDER's lock pins, in OUT/node_modules.
function(mcpbus_npm target folder out packages)
    find_program(NPM npm)
    if(NOT NPM)
        message(FATAL_ERROR "npm was not found: libraries of the web pages are installed by it. "
            "Install Node.js with npm, or run ./dev build.")
    endif()
    set(made "")
    foreach(item IN LISTS packages)
        string(REGEX REPLACE "^[^=]*=" "" file ${item})
        list(APPEND made ${out}/node_modules/${file})
    endforeach()
    add_custom_command(
        OUTPUT ${made}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
        COMMAND ${CMAKE_COMMAND} -E copy ${folder}/package.json ${folder}/package-lock.json ${folder}/.npmrc ${out}
        COMMAND ${NPM} ci --prefix ${out} --ignore-scripts --loglevel=error
        COMMAND ${CMAKE_COMMAND} -E touch ${made}
        DEPENDS ${folder}/package.json ${folder}/package-lock.json ${folder}/.npmrc
        COMMENT "Installing web libraries of ${target} with npm"
        VERBATIM)
endfunction()
