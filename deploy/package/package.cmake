# What an installed mcpbus has beside its programs, and its Debian packages: cpack in the build folder
# writes mcpbus (services, command line, units), mcpbus-sandbox (development) and those of libmcpbus.
# A package is an install component: server, sandbox, lib, dev.
# Packing builds nothing: what is built is packed.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
set(package ${CMAKE_SOURCE_DIR}/deploy/package)
set(package_out ${CMAKE_BINARY_DIR}/package)

set(MCPBUS_MAINTAINER "mcpbus <mcpbus@localhost>" CACHE STRING "maintainer of the Debian packages")

set(CPACK_GENERATOR DEB)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${package}/compress.cmake)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
    GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PACKAGE_NAME mcpbus)
set(CPACK_PACKAGE_CONTACT ${MCPBUS_MAINTAINER})
set(CPACK_PACKAGE_VENDOR mcpbus)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

string(TIMESTAMP MCPBUS_BUILD_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
find_program(GZIP gzip REQUIRED)

# mcpbus_compressed(OUT gz-file FROM file): as Debian wants it, without name and time.
function(mcpbus_compressed)
    cmake_parse_arguments(C "" "OUT;FROM" "" ${ARGN})
    execute_process(COMMAND ${GZIP} -9nc ${C_FROM} OUTPUT_FILE ${C_OUT} COMMAND_ERROR_IS_FATAL ANY)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${C_FROM})
endfunction()

# mcpbus_package(COMPONENT component NAME package SECTION section SUMMARY line TEXT paragraph
#                DEPENDS packages)
macro(mcpbus_package)
    cmake_parse_arguments(P "" "COMPONENT;NAME;SECTION;SUMMARY;TEXT;DEPENDS" "" ${ARGN})
    string(TOUPPER ${P_COMPONENT} component)
    list(APPEND CPACK_COMPONENTS_ALL ${P_COMPONENT})
    set(CPACK_DEBIAN_${component}_PACKAGE_NAME ${P_NAME})
    set(CPACK_DEBIAN_${component}_PACKAGE_SECTION ${P_SECTION})
    set(CPACK_DEBIAN_${component}_PACKAGE_DEPENDS "${P_DEPENDS}")
    set(CPACK_COMPONENT_${component}_DESCRIPTION "${P_SUMMARY}\n${P_TEXT}")
    set(CHANGES_OF ${P_NAME})
    configure_file(${package}/changelog.in ${package_out}/${P_NAME}.changelog @ONLY)
    mcpbus_compressed(FROM ${package_out}/${P_NAME}.changelog
        OUT ${package_out}/${P_NAME}.changelog.gz)
    install(FILES ${package_out}/${P_NAME}.changelog.gz RENAME changelog.Debian.gz
        DESTINATION share/doc/${P_NAME} COMPONENT ${P_COMPONENT})
    install(FILES ${package}/copyright DESTINATION share/doc/${P_NAME} COMPONENT ${P_COMPONENT})
endmacro()

mcpbus_package(COMPONENT server NAME mcpbus SECTION net DEPENDS "ca-certificates, poppler-data"
    SUMMARY "agents for many users over a message bus"
    TEXT "A REST API, sign-in with Google, a queue in PostgreSQL, workers that run a\nlanguage model over MCP servers, the bus between them, and the command line.")
mcpbus_package(COMPONENT sandbox NAME mcpbus-sandbox SECTION devel DEPENDS ""
    SUMMARY "stand-in for Google and OpenAI, to develop against mcpbus"
    TEXT "Speaks their protocols with invented data. Not for a machine with users.")
if(TARGET libmcpbus)
    get_target_property(soversion libmcpbus SOVERSION)
    mcpbus_package(COMPONENT lib NAME libmcpbus${soversion} SECTION libs DEPENDS ""
        SUMMARY "client library of the bus of mcpbus"
        TEXT "Calls the services on the bus, serves methods of one's own.")
    mcpbus_package(COMPONENT dev NAME libmcpbus-dev SECTION libdevel
        DEPENDS "libmcpbus${soversion} (= ${CPACK_DEBIAN_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})"
        SUMMARY "client library of the bus of mcpbus, to build with"
        TEXT "Header, static library, files for pkg-config and CMake,\nexamples in C and Python.")
    set(CPACK_DEBIAN_DEV_PACKAGE_RECOMMENDS "libjansson-dev, libzmq3-dev")
endif()

set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS "postgresql-client")
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS "postgresql, mcpbus-sandbox")
configure_file(${package}/conffiles ${package_out}/conffiles COPYONLY)
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA "${package}/postinst;${package}/prerm;${package}/postrm;${package}/conffiles")

# Only packages have what lies outside of the prefix, or names /usr/bin.
install(FILES ${package}/mcpbus.env DESTINATION /etc/mcpbus COMPONENT server EXCLUDE_FROM_ALL
    PERMISSIONS OWNER_READ OWNER_WRITE)
file(GLOB units CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/deploy/systemd/*.service
    ${CMAKE_SOURCE_DIR}/deploy/systemd/*.target)
install(FILES ${units} DESTINATION lib/systemd/system COMPONENT server EXCLUDE_FROM_ALL)

install(FILES ${package}/lintian RENAME mcpbus DESTINATION share/lintian/overrides COMPONENT server)

mcpbus_compressed(FROM ${CMAKE_SOURCE_DIR}/CHANGELOG.md OUT ${package_out}/changelog.gz)
install(FILES ${package_out}/changelog.gz DESTINATION share/doc/mcpbus COMPONENT server)
install(FILES ${CMAKE_SOURCE_DIR}/README.md DESTINATION share/doc/mcpbus COMPONENT server)
install(FILES ${CMAKE_SOURCE_DIR}/.env.example RENAME env.example DESTINATION share/doc/mcpbus
    COMPONENT server)

# One page for all services, under the name of each.
configure_file(${package}/services.8.in ${package_out}/mcpbus-services.8 @ONLY)
mcpbus_compressed(FROM ${package_out}/mcpbus-services.8 OUT ${package_out}/mcpbus-services.8.gz)
install(FILES ${package_out}/mcpbus-services.8.gz DESTINATION share/man/man8 COMPONENT server)
file(WRITE ${package_out}/link.8 ".so man8/mcpbus-services.8\n")
mcpbus_compressed(FROM ${package_out}/link.8 OUT ${package_out}/link.8.gz)
foreach(service IN ITEMS broker auth jobs worker gateway google files monitor)
    if(TARGET mcpbus-${service})
        install(FILES ${package_out}/link.8.gz RENAME mcpbus-${service}.8.gz
            DESTINATION share/man/man8 COMPONENT server)
    endif()
endforeach()
configure_file(${package}/sandbox.1.in ${package_out}/mcpbus-sandbox.1 @ONLY)
mcpbus_compressed(FROM ${package_out}/mcpbus-sandbox.1 OUT ${package_out}/mcpbus-sandbox.1.gz)
install(FILES ${package_out}/mcpbus-sandbox.1.gz DESTINATION share/man/man1 COMPONENT sandbox)

# The command line writes its own page and completion.
set(made ${package_out}/mcpbus.1.gz ${package_out}/mcpbus.bash)
add_custom_command(OUTPUT ${made}
    COMMAND sh -c "$<TARGET_FILE:mcpbus> help --man >mcpbus.1 && ${GZIP} -9nf mcpbus.1"
    COMMAND sh -c "$<TARGET_FILE:mcpbus> completion bash >mcpbus.bash"
    DEPENDS mcpbus WORKING_DIRECTORY ${package_out} VERBATIM)
add_custom_target(package_files ALL DEPENDS ${made})
install(FILES ${package_out}/mcpbus.1.gz DESTINATION share/man/man1 COMPONENT server)
install(FILES ${package_out}/mcpbus.bash RENAME mcpbus
    DESTINATION share/bash-completion/completions COMPONENT server)

# All that the packages hold.
add_custom_target(packaged DEPENDS package_files)
foreach(target IN ITEMS mcpbus-broker mcpbus-auth mcpbus-jobs mcpbus-worker mcpbus-gateway
        mcpbus-google mcpbus-files mcpbus-monitor mcpbus-sandbox libmcpbus libmcpbus_static
        libmcpbus_manual)
    if(TARGET ${target})
        add_dependencies(packaged ${target})
    endif()
endforeach()

include(CPack)
