# sg_package(): Debian packages of what SgInstallClient and SgInstallGateway install, by cpack;
# ops/package runs it. Four packages, one for each component:
#   sealgate-gateway  sealgate  libsealgate0  libsealgate-dev
#
#   SG_PACKAGE_MAINTAINER   who answers for the packages, as Debian writes it
#   SG_PACKAGE_REVISION     Debian's revision; by default 1~deb and the release it is built on, so
#                           that the package of a later release is a later one
set(SG_PACKAGE_MAINTAINER "Sealgate maintainers <maintainers@sealgate.invalid>" CACHE STRING
    "who answers for the packages")
set(SG_PACKAGE_REVISION "" CACHE STRING "Debian's revision of the packages; empty: by release")

function(sg_package_revision output)
    set(revision "${SG_PACKAGE_REVISION}")
    if("${revision}" STREQUAL "")
        set(revision 1)
        if(EXISTS /etc/os-release)
            file(STRINGS /etc/os-release release REGEX "^VERSION_ID=")
            string(REGEX REPLACE "^VERSION_ID=\"?([0-9.]*)\"?$" "\\1" release "${release}")
            if(release)
                set(revision 1~deb${release})
            endif()
        endif()
    endif()
    set(${output} ${revision} PARENT_SCOPE)
endfunction()

# When the sources were last changed, for all times in a package: two builds of them are the same.
function(sg_source_time output)
    set(time $ENV{SOURCE_DATE_EPOCH})
    if(NOT time)
        execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} log -1 --format=%ct
            OUTPUT_VARIABLE time OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    endif()
    if(NOT time)
        string(TIMESTAMP time %s UTC)
    endif()
    set(${output} ${time} PARENT_SCOPE)
endfunction()

# What Debian wants of each package beside its files: who wrote it, what changed, what lintian
# complains of and why that stays.
function(sg_package_papers revision time)
    set(folder ${PROJECT_BINARY_DIR}/packaging)
    file(MAKE_DIRECTORY ${folder})
    execute_process(COMMAND date -u -R -d @${time} OUTPUT_VARIABLE date
        OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    file(WRITE ${folder}/changelog.Debian "sealgate (${PROJECT_VERSION}-${revision}) unstable; urgency=medium\n\n  * See changelog.gz, and CHANGELOG.md of the sources.\n\n -- ${SG_PACKAGE_MAINTAINER}  ${date}\n")
    file(COPY_FILE ${PROJECT_SOURCE_DIR}/CHANGELOG.md ${folder}/changelog)
    foreach(name changelog changelog.Debian)
        execute_process(COMMAND gzip -9nc ${folder}/${name} OUTPUT_FILE ${folder}/${name}.gz
            COMMAND_ERROR_IS_FATAL ANY)
    endforeach()
    foreach(component IN LISTS SG_COMPONENTS)
        install(FILES ${PROJECT_SOURCE_DIR}/ops/packaging/copyright ${folder}/changelog.gz
                ${folder}/changelog.Debian.gz
            DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${component} COMPONENT ${component})
        set(overrides ${PROJECT_SOURCE_DIR}/ops/packaging/${component}.overrides)
        if(EXISTS ${overrides})
            install(FILES ${overrides} DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides
                RENAME ${component} COMPONENT ${component})
        endif()
    endforeach()
endfunction()

set(SG_COMPONENTS sealgate-gateway sealgate libsealgate0 libsealgate-dev)

# A macro, since cpack reads its variables from the folder that includes it.
macro(sg_package)
    sg_package_revision(CPACK_DEBIAN_PACKAGE_RELEASE)
    sg_source_time(SG_SOURCE_TIME)
    sg_package_papers(${CPACK_DEBIAN_PACKAGE_RELEASE} ${SG_SOURCE_TIME})
    set(sg_packaging ${PROJECT_SOURCE_DIR}/ops/packaging)

    set(CPACK_GENERATOR DEB)
    set(CPACK_PACKAGE_NAME sealgate)
    set(CPACK_PACKAGE_VENDOR Sealgate)
    set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
    set(CPACK_PACKAGE_DIRECTORY ${PROJECT_SOURCE_DIR}/build/packages)
    set(CPACK_PACKAGE_CHECKSUM SHA256)
    set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
    set(CPACK_STRIP_FILES ON)
    set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/ops/build/package_finish.cmake)
    set(CPACK_COMPONENTS_ALL ${SG_COMPONENTS})
    set(CPACK_COMPONENTS_GROUPING IGNORE)
    set(CPACK_DEB_COMPONENT_INSTALL ON)
    set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
    set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
    set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${SG_PACKAGE_MAINTAINER}")
    set(CPACK_DEBIAN_PACKAGE_SOURCE sealgate)
    set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
    set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

    # Not only what the programs were linked with: the patched one.
    set(sg_nghttp2 "libnghttp2-14 (>= ${SG_NGHTTP2_FLOOR})")
    set(sg_same_version "(= ${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")

    set(CPACK_DEBIAN_SEALGATE-GATEWAY_PACKAGE_NAME sealgate-gateway)
    set(CPACK_DEBIAN_SEALGATE-GATEWAY_PACKAGE_SECTION net)
    # The small ones first, for containers; where systemd is, it is all of them.
    set(CPACK_DEBIAN_SEALGATE-GATEWAY_PACKAGE_DEPENDS "${sg_nghttp2}, systemd-standalone-sysusers | systemd-sysusers, systemd-standalone-tmpfiles | systemd-tmpfiles")
    set(CPACK_DEBIAN_SEALGATE-GATEWAY_PACKAGE_RECOMMENDS sealgate)
    set(CPACK_DEBIAN_SEALGATE-GATEWAY_PACKAGE_SUGGESTS "softhsm2, prometheus")
    set(CPACK_DEBIAN_SEALGATE-GATEWAY_PACKAGE_CONTROL_EXTRA ${sg_packaging}/conffiles
        ${sg_packaging}/postinst ${sg_packaging}/prerm ${sg_packaging}/postrm)
    set(CPACK_COMPONENT_SEALGATE-GATEWAY_DESCRIPTION
        "signing gateway in front of PKCS#11 tokens\nPrograms send digests over gRPC, gRPC-Web or Connect; the gateway knows who\nasks, decides whether they may use the key, has the token sign, and verifies\nthe signature before it is released. Keys never leave their token.\n.\nThis package has the daemon sealgated with its units for systemd. It starts\nonly when it was configured.")

    set(CPACK_DEBIAN_SEALGATE_PACKAGE_NAME sealgate)
    set(CPACK_DEBIAN_SEALGATE_PACKAGE_SECTION utils)
    set(CPACK_DEBIAN_SEALGATE_PACKAGE_DEPENDS "${sg_nghttp2}")
    set(CPACK_COMPONENT_SEALGATE_DESCRIPTION
        "command line of a Sealgate signing gateway\nSigns documents and digests with keys that a Sealgate gateway guards, verifies\nsignatures, lists keys and makes certificate requests. Documents stay where\nthey are; only their digests go to the gateway.")

    set(CPACK_DEBIAN_LIBSEALGATE0_PACKAGE_NAME libsealgate0)
    set(CPACK_DEBIAN_LIBSEALGATE0_PACKAGE_SECTION libs)
    set(CPACK_DEBIAN_LIBSEALGATE0_PACKAGE_DEPENDS "${sg_nghttp2}")
    set(CPACK_DEBIAN_LIBSEALGATE0_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/packaging/shlibs
        ${sg_packaging}/triggers)
    file(WRITE ${PROJECT_BINARY_DIR}/packaging/shlibs
        "libsealgate 0 libsealgate0 (>= ${PROJECT_VERSION})\n")
    set(CPACK_COMPONENT_LIBSEALGATE0_DESCRIPTION
        "client library of a Sealgate signing gateway\nA C library with a blocking and a non-blocking interface: signing, verifying,\nkeys. This package has what programs need that were linked with it.")

    # pkg-config asks for all of those, for programs that link libsealgate.a.
    set(CPACK_DEBIAN_LIBSEALGATE-DEV_PACKAGE_NAME libsealgate-dev)
    set(CPACK_DEBIAN_LIBSEALGATE-DEV_PACKAGE_SECTION libdevel)
    set(CPACK_DEBIAN_LIBSEALGATE-DEV_PACKAGE_DEPENDS "libsealgate0 ${sg_same_version}, libnghttp2-dev, libprotobuf-c-dev, libssl-dev, zlib1g-dev")
    set(CPACK_COMPONENT_LIBSEALGATE-DEV_DESCRIPTION
        "client library of a Sealgate signing gateway, for developers\nThe header, the static library, the packages for pkg-config and CMake, and the\nmanual of libsealgate, a C library that signs with keys that a gateway guards.")
    include(CPack)
endmacro()
