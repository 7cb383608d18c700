# sg_install_client(): what callers install, in three components as Debian would cut them:
#   libsealgate0      libsealgate.so.0
#   libsealgate-dev   the headers, the two libraries to link, pkg-config, find_package(Sealgate), manual
#   sealgate          the command line program, its manual and its completion for bash
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

function(sg_install_client)
    set(package ${PROJECT_SOURCE_DIR}/client/package)
    set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Sealgate)

    install(TARGETS sealgate_shared EXPORT SealgateTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
            COMPONENT libsealgate0 NAMELINK_COMPONENT libsealgate-dev
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    set_target_properties(sealgate_shared PROPERTIES EXPORT_NAME sealgate)
    install(FILES ${PROJECT_BINARY_DIR}/lib/libsealgate.a DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT libsealgate-dev)
    install(FILES ${PROJECT_SOURCE_DIR}/client/include/sealgate.h
            ${PROJECT_SOURCE_DIR}/client/include/sealgate_audit.h
            ${PROJECT_SOURCE_DIR}/client/include/sealgate_tokens.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT libsealgate-dev)

    install(EXPORT SealgateTargets NAMESPACE Sealgate:: DESTINATION ${cmake_dir}
        COMPONENT libsealgate-dev)
    configure_package_config_file(${package}/SealgateConfig.cmake.in
        ${PROJECT_BINARY_DIR}/SealgateConfig.cmake INSTALL_DESTINATION ${cmake_dir}
        PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
    # Until 1.0 another minor version may be another interface.
    write_basic_package_version_file(${PROJECT_BINARY_DIR}/SealgateConfigVersion.cmake
        COMPATIBILITY SameMinorVersion)
    install(FILES ${PROJECT_BINARY_DIR}/SealgateConfig.cmake
        ${PROJECT_BINARY_DIR}/SealgateConfigVersion.cmake
        DESTINATION ${cmake_dir} COMPONENT libsealgate-dev)

    # Where they are is known when they are installed (--prefix), so the file finds itself.
    file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
    string(REGEX REPLACE "/$" "" up ${up})
    set(CMAKE_INSTALL_PREFIX "\${pcfiledir}/${up}")
    set(SG_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
    set(SG_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    configure_file(${package}/sealgate.pc.in sealgate.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/sealgate.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT libsealgate-dev)

    install(TARGETS sealgate RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT sealgate)
    install(FILES ${package}/sealgate.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT sealgate)
    install(FILES ${package}/sealgate.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME sealgate
        COMPONENT sealgate)
    sg_install_function_pages(${package}/libsealgate.3)
endfunction()

# libsealgate.3, and for each function of the map a page that leads there.
function(sg_install_function_pages manual)
    file(STRINGS ${PROJECT_SOURCE_DIR}/client/lib/sealgate.map lines REGEX "^ +sealgate_[a-z0-9_]+;$")
    set(pages ${manual})
    foreach(line IN LISTS lines)
        string(REGEX REPLACE "[ ;]" "" function "${line}")
        file(CONFIGURE OUTPUT man/${function}.3 CONTENT ".so man3/libsealgate.3\n")
        list(APPEND pages ${CMAKE_CURRENT_BINARY_DIR}/man/${function}.3)
    endforeach()
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT libsealgate-dev)
endfunction()
