# cmake -DSOURCE=helper.py -DTARGET=helper.c -P embed.cmake: the file as an array of bytes.
file(READ ${SOURCE} bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR length "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${TARGET} "#include \"backends/python/helper.h\"\n\nconst unsigned char python_helper[] = {\n${bytes}};\nconst size_t python_helper_length = ${length};\n")
