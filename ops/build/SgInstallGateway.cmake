# sg_install_gateway(): what a machine that signs is given, as component sealgate-gateway:
#   sbin/sealgated                   lib/sealgate/sealgate-p11-shim.so is found beside its folder
#   lib/sealgate/sealgate-devkeys    makes keys in a SoftHSM2 token, for trying
#   sealgated(8), sealgate.yaml(5), completion for bash: made by the build from what it says itself
#   /etc/sealgate/sealgate.yaml      the commented example, with the users that the units have
#   systemd/system                   its units, which name those paths; ops/systemd/
#   sysusers.d, tmpfiles.d           its users and folders
# /etc follows the prefix as GNUInstallDirs says: with /usr it is /etc. A staging folder is given by
# DESTDIR, since that path is absolute.
include(GNUInstallDirs)

set(SG_PRIVATE_LIBDIR lib/sealgate) # where hsm/pkcs11/libp11.c looks: never lib/<machine>
set(SG_CONFIG_DIR ${CMAKE_INSTALL_FULL_SYSCONFDIR}/sealgate)
set(SG_SEALGATED ${CMAKE_INSTALL_FULL_SBINDIR}/sealgated)

# sg_replace_once(text before after): fails where `before` is not there, so that nothing is left out
# unseen when the example changes.
function(sg_replace_once variable before after)
    string(FIND "${${variable}}" "${before}" at)
    if(at EQUAL -1)
        message(FATAL_ERROR "ops/conf/sealgate.yaml has no \"${before}\" any more")
    endif()
    string(REPLACE "${before}" "${after}" text "${${variable}}")
    set(${variable} "${text}" PARENT_SCOPE)
endfunction()

# The example, as the units want it: the two users, and no word of how the example is made.
function(sg_default_config output)
    set(example ${PROJECT_SOURCE_DIR}/ops/conf/sealgate.yaml)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${example})
    file(READ ${example} text)
    sg_replace_once(text "#gateway_user: \"\"" "gateway_user: sealgate")
    sg_replace_once(text "    #user: sealgate-token" "    user: sealgate-token")
    sg_replace_once(text
        "# This file is generated from gateway/config/options.def and table.c; a test compares it.\n"
        "# The lines without a \"#\" are to be made yours before sealgate-gateway is started. The PIN of\n# the token \"hsm\" is taken from pins/hsm beside this file, by sealgate-token@hsm.\n")
    file(CONFIGURE OUTPUT ${output} CONTENT "${text}" @ONLY)
endfunction()

# Pages of sealgated itself: NAME.SECTION by gateway_docs.py KIND.
function(sg_gateway_pages)
    set(generator ${PROJECT_SOURCE_DIR}/ops/build/gateway_docs.py)
    set(folder ${PROJECT_BINARY_DIR}/gateway-docs)
    file(MAKE_DIRECTORY ${folder})
    set(pages "")
    foreach(page man8/sealgated.8 man5/sealgate.yaml.5 bash/sealgated.bash)
        get_filename_component(kind ${page} DIRECTORY)
        get_filename_component(name ${page} NAME)
        add_custom_command(OUTPUT ${folder}/${name}
            COMMAND ${SG_PYTHON3} ${generator} ${kind} $<TARGET_FILE:sealgated> > ${name}.new
            COMMAND ${CMAKE_COMMAND} -E rename ${name}.new ${name}
            DEPENDS sealgated ${generator} WORKING_DIRECTORY ${folder} VERBATIM)
        list(APPEND pages ${folder}/${name})
    endforeach()
    add_custom_target(gateway_docs ALL DEPENDS ${pages})
    install(FILES ${folder}/sealgated.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8
        COMPONENT sealgate-gateway)
    install(FILES ${folder}/sealgate.yaml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5
        COMPONENT sealgate-gateway)
    install(FILES ${folder}/sealgated.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME sealgated
        COMPONENT sealgate-gateway)
endfunction()

function(sg_install_gateway)
    install(TARGETS sealgated RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR}
        COMPONENT sealgate-gateway)
    install(TARGETS sg_p11_shim LIBRARY DESTINATION ${SG_PRIVATE_LIBDIR}
        COMPONENT sealgate-gateway)
    install(TARGETS sealgate-devkeys RUNTIME DESTINATION ${SG_PRIVATE_LIBDIR}
        COMPONENT sealgate-gateway)
    sg_default_config(${PROJECT_BINARY_DIR}/default/sealgate.yaml)
    install(FILES ${PROJECT_BINARY_DIR}/default/sealgate.yaml DESTINATION ${SG_CONFIG_DIR}
        COMPONENT sealgate-gateway)
    sg_gateway_pages()

    set(systemd ${PROJECT_SOURCE_DIR}/ops/systemd)
    foreach(unit sealgate-gateway.service sealgate-token@.service sealgate-witness.service
            sealgate-archive.service)
        configure_file(${systemd}/${unit}.in ${PROJECT_BINARY_DIR}/systemd/${unit} @ONLY)
        install(FILES ${PROJECT_BINARY_DIR}/systemd/${unit} DESTINATION lib/systemd/system
            COMPONENT sealgate-gateway)
    endforeach()
    install(FILES ${systemd}/sealgate-gateway.socket ${systemd}/sealgate-archive.timer DESTINATION lib/systemd/system
        COMPONENT sealgate-gateway)
    foreach(kind sysusers tmpfiles)
        install(FILES ${systemd}/sealgate.${kind} DESTINATION lib/${kind}.d RENAME sealgate.conf
            COMPONENT sealgate-gateway)
    endforeach()
endfunction()
