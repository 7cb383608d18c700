# Run by cpack over the staged files of all packages, before it packs them: manual pages are compressed, as
# Debian wants them, and the static library loses what only a debugger reads. Reproducible.
find_program(SG_STRIP NAMES strip REQUIRED)
find_program(SG_GZIP gzip REQUIRED)

file(GLOB_RECURSE pages ${CPACK_TEMPORARY_DIRECTORY}/*.[1-9])
list(FILTER pages INCLUDE REGEX "/share/man/man[1-9]/")
if(NOT pages)
    message(FATAL_ERROR "no manual pages under ${CPACK_TEMPORARY_DIRECTORY}")
endif()
foreach(page IN LISTS pages)
    execute_process(COMMAND ${SG_GZIP} -9n ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

file(GLOB_RECURSE archives ${CPACK_TEMPORARY_DIRECTORY}/libsealgate.a)
foreach(archive IN LISTS archives)
    execute_process(COMMAND ${SG_STRIP} --strip-debug --enable-deterministic-archives ${archive}
        COMMAND_ERROR_IS_FATAL ANY)
endforeach()
